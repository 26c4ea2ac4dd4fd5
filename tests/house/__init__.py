"""The rules of the house: what every page and every module must be, as functions for tests."""
