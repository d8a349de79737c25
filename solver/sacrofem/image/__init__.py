"""CT volumes, label maps, calibration from Hounsfield units to density, and the phantom CT."""
