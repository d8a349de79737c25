"""Sacral frame, landmarks, joint surfaces and sides, found in the label map alone."""
