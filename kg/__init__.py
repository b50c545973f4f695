"""RDF and tables in, validated columns, graphs and RDF out. Knows no model."""
