"""Experiments in virtual time: the same files and the same decisions, with modelled nodes, network and clients."""
