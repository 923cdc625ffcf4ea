"""discard(8): the delivery agent that throws mail away."""
