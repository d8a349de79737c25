"""Labels to tetrahedra: the bone mesh with facet tags, density per cell and its quality."""
