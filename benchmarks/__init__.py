"""What it costs: speed and memory beside the reference's way and beside what the machine could do."""
