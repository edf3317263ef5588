"""How good is a track: overlap measures."""
