"""What a finished study says: curves, sensitivities, a Pareto front, a ranking, three sentences."""
