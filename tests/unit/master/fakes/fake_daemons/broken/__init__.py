"""A fake daemon."""
