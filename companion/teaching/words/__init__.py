"""Figures put into words, computed from what is drawn."""
