"""How `portal.json_fields` looks in an OpenAPI document: drf-spectacular makes a component of an
Object. Importing this module registers it.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension

from portal.json_fields import Object


class ObjectExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Lets drf-spectacular make a component of an Object."""

    @classmethod
    def _matches(cls, target: Any) -> bool:
        return isinstance(target, Object)

    def get_name(self, auto_schema: Any, direction: Any) -> str:
        name: str = self.target.name
        return name

    def get_identity(self, auto_schema: Any, direction: Any) -> Any:
        return self.target.name

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        for field in self.target.fields:
            if field.kind.object:
                component = auto_schema.resolve_serializer(field.kind.object, direction)
                # OpenAPI 3.0 ignores what stands beside a $ref, and importers stumble over allOf:
                # what may be null says so in its own component. Generators split that in two, the
                # object and null; the title keeps the object's class name.
                if field.null:
                    component.schema |= {"nullable": True, "title": component.name}
        schema: dict[str, Any] = self.target.schema
        return schema
