"""Builders: what a data set's publisher gives -> the field's three lists (`datasets.splitfiles`)."""
