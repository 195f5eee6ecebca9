"""NATS as the backbone: see `backbone`. Needs the extra `nats`."""

from stsd.server.backbone.nats.backbone import NatsBackbone

__all__ = ["NatsBackbone"]
