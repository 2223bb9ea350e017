"""Figures by matplotlib and the report page; no JAX."""
