"""What the numbers are for: load transfer, stiffness and stress relief between states."""
