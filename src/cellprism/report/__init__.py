"""What a run says, as claims and as one page: read from a run folder alone, without torch."""
