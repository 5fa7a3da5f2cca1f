"""Tensor trains: chains of three-way cores."""
