"""Scenario files, one run, sweeps and the record store."""
