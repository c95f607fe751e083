"""How rankings of codes are counted and averaged: what `cscelab.evaluate` is made of, from bit planes to the report."""
