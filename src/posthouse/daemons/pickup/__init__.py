"""pickup(8): local submissions, from the submit socket and from maildrop/."""
