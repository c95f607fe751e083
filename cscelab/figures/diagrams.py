"""Figs. 2-4 drawn from a live network: the whole, its sliding windows, its AIE."""

from cscelab.figures.diagram_aie import aie_diagram
from cscelab.figures.diagram_network import network_diagram
from cscelab.figures.diagram_windows import windows_diagram

__all__ = ["aie_diagram", "network_diagram", "windows_diagram"]
