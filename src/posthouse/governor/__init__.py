"""What is scarce, how scarce, until when, and what is done about it. Pure: numbers in, decisions and texts out."""
