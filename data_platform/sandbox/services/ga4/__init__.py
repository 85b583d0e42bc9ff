"""Google Analytics 4 on loopback, fed by the shop's web events."""
