"""The words of the generated seed catalogue: taxa, attributes, and phrases for its descriptions."""

from __future__ import annotations

# order -> family -> genera
TAXA: dict[str, dict[str, tuple[str, ...]]] = {
    "Asterales": {
        "Asteraceae": ("Dahlia", "Helianthus", "Echinacea", "Rudbeckia", "Zinnia", "Cosmos"),
        "Campanulaceae": ("Campanula", "Lobelia"),
    },
    "Lamiales": {
        "Lamiaceae": ("Salvia", "Lavandula", "Nepeta", "Monarda", "Thymus", "Ocimum", "Mentha"),
        "Plantaginaceae": ("Digitalis", "Antirrhinum", "Veronica", "Penstemon"),
    },
    "Rosales": {"Rosaceae": ("Rosa", "Fragaria", "Geum", "Potentilla", "Rubus")},
    "Solanales": {"Solanaceae": ("Solanum", "Capsicum", "Petunia", "Nicotiana")},
    "Fabales": {"Fabaceae": ("Lathyrus", "Phaseolus", "Vicia", "Lupinus", "Pisum")},
    "Cucurbitales": {"Cucurbitaceae": ("Cucurbita", "Cucumis", "Lagenaria")},
    "Brassicales": {"Brassicaceae": ("Brassica", "Raphanus", "Lunaria", "Matthiola")},
    "Apiales": {"Apiaceae": ("Daucus", "Foeniculum", "Coriandrum", "Ammi")},
    "Ranunculales": {
        "Ranunculaceae": ("Aquilegia", "Delphinium", "Nigella", "Clematis", "Anemone"),
        "Papaveraceae": ("Papaver", "Eschscholzia"),
    },
    "Asparagales": {
        "Iridaceae": ("Iris", "Crocosmia", "Gladiolus"),
        "Amaryllidaceae": ("Allium", "Narcissus", "Agapanthus"),
    },
}

# English and German labels
COLOURS = (
    ("white", "weiß"), ("cream", "creme"), ("yellow", "gelb"), ("orange", "orange"),
    ("scarlet", "scharlachrot"), ("crimson", "karmesinrot"), ("pink", "rosa"), ("lilac", "lila"),
    ("purple", "violett"), ("sky blue", "himmelblau"), ("deep blue", "dunkelblau"),
    ("green", "grün"), ("almost black", "fast schwarz"),
)  # fmt: skip
USES = (
    ("cut flowers", "Schnittblumen"), ("borders", "Rabatten"), ("pots", "Töpfe"),
    ("ground cover", "Bodendecker"), ("hedges", "Hecken"), ("the kitchen", "Küche"),
    ("drying", "Trockenblumen"), ("rock gardens", "Steingärten"), ("pollinators", "Bestäuber"),
    ("window boxes", "Balkonkästen"),
)  # fmt: skip
ZONES = ("alpine", "coastal", "continental", "mediterranean", "northern", "oceanic", "steppe")
HABITS = ("annual", "biennial", "perennial")
SKILLS = ("novice", "keen", "expert")

# What only the text tells: trait -> ways to say it.
TRAITS: dict[str, tuple[str, ...]] = {
    "scented": (
        "The scent carries across the garden in the evening",
        "Richly fragrant, best beside a door",
        "Its perfume is sweet and strong",
    ),
    "drought-hardy": (
        "Shrugs off weeks without rain",
        "Hardly needs watering once established",
        "Stands drought and poor, dry soil",
    ),
    "long-flowering": (
        "Blooms without a pause from June to the first frost",
        "Keeps flowering for months on end",
        "The season is unusually long",
    ),
    "climbing": (
        "Climbs a trellis to head height",
        "Scrambles up strings, poles and fences",
        "A vigorous climber that wants support",
    ),
    "shade-loving": (
        "At home under trees and on the north side of a wall",
        "Does best in shade",
        "Brightens dark corners",
    ),
    "slug-proof": (
        "Slugs and snails leave it alone",
        "Never troubled by slugs",
        "The one bed that needs no protection from snails",
    ),
}

FIRST_NAMES = (
    "Amber", "Arctic", "Autumn", "Bright", "Copper", "Coral", "Dawn", "Distant", "Early", "Ember",
    "Evening", "Fairy", "First", "Gentle", "Giant", "Golden", "Grand", "Harvest", "Hidden", "Honey",
    "Little", "Midnight", "Misty", "Morning", "Northern", "Old", "Paper", "Quiet", "Royal", "Silver",
    "Stray", "Summer", "Velvet", "Village", "Wild", "Winter",
)  # fmt: skip
SECOND_NAMES = (
    "Beacon", "Bell", "Breeze", "Cascade", "Charm", "Cloud", "Crown", "Dance", "Dream", "Echo",
    "Feather", "Flame", "Fountain", "Gift", "Glow", "Halo", "Jewel", "Joy", "Lantern", "Light",
    "Melody", "Mirror", "Muse", "Pearl", "Promise", "Queen", "Ribbon", "Shadow", "Song", "Sparkle",
    "Star", "Storm", "Thimble", "Torch", "Whisper", "Wonder",
)  # fmt: skip
BREEDER_PLACES = (
    "Alder", "Birch", "Brook", "Cedar", "Clay", "Fern", "Field", "Flint", "Ford", "Glen", "Hazel",
    "Heath", "Hill", "Holly", "Kiln", "Lark", "Marsh", "Mill", "Moor", "Oak", "Orchard", "Quarry",
    "Reed", "Ridge", "Rowan", "Stone", "Thorn", "Vale", "Well", "Willow",
)  # fmt: skip
BREEDER_KINDS = ("Nursery", "Seeds", "Gardens", "& Daughters")
OPENINGS = (
    "A {habit} {genus} with {colour} flowers",
    "This {colour} {genus} is a {habit} of the old school",
    "{genus} in {colour}, a {habit} for {zone} gardens",
    "A new {genus} from {breeder}, {colour} and reliable",
    "An easy {habit} that grows to {height} cm",
)
MIDDLES = (
    "grown above all for {use}",
    "a favourite for {use}",
    "useful for {use} and more",
    "a good choice where space is short",
    "raised from seed in {zone} conditions",
)
FILLERS = (
    "Sow under glass in March.", "Sow where it is to flower.", "Germinates in two to three weeks.",
    "Pinch out once.", "About forty seeds.", "Thin to a hand's width.", "Do not cover the seed.",
)  # fmt: skip
