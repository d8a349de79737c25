"""Published experiments and models, repeated with the package's own functions and defaults."""
