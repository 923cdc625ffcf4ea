"""How daemons talk: one framed stream, one module for each internal protocol with both of its ends."""
