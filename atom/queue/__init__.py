"""Messages through a broker: at least once delivered, one effect."""
