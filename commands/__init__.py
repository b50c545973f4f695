"""The commands in groups. Each module imports typer and the standard library only, so that help is fast."""
