"""What looks at content and decides: header and body checks."""
