"""bounce(8), defer(8), trace(8): delivery status notifications."""
