"""The persistent index of a folder of photographs.

Reading order: walk -> store -> encoder -> update -> lookup -> answers, duplicates.
"""
