"""A bench as curves: one HTML page that needs no network, or one SVG picture."""
