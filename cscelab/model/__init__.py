"""Fig. 2 as files: backbone -> windows and local branch -> aie -> network."""
