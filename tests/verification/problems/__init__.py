"""Problems of elasticity whose answer is known, solved by the package's own functions."""
