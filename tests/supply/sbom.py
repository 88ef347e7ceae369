"""The bill of materials that a wheel carries (PEP 770): CycloneDX JSON of what the locks hold for operators.

The same locks, version and time give the same bytes. A component is a package in a version, with the environments that
have it, the hashes of its files and what it needs; those of the sensor alone are required, the others optional.
"""

import json
import uuid
from datetime import UTC, datetime
from typing import Final

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import NormalizedName

from sensor.version import VERSION
from tests.supply import pins
from tests.supply.environments import SENSOR, SHIPPED
from tests.supply.pins import Pin

NAME: Final = "flowvigil.cdx.json"
_SERIALS: Final = uuid.UUID("7f3df6a5-2f0c-5b86-9d7d-5a3d2a1f0c11")  # of serial numbers, which are of what is listed
Key = tuple[NormalizedName, str]


def text(made_s: int) -> str:
    """The document, made at a time in seconds since 1970."""
    found = {environment: pins.read(environment) for environment in SHIPPED}
    held: dict[Key, dict[str, Pin]] = {}
    for environment, locked in found.items():
        for pin in locked:
            held.setdefault((pin.name, str(pin.version)), {})[environment] = pin
    listed = {key: _component(where) for key, where in sorted(held.items())}
    own = Component(
        name="flowvigil",
        version=VERSION,
        type=ComponentType.APPLICATION,
        bom_ref=f"pkg:pypi/flowvigil@{VERSION}",
        purl=PackageURL("pypi", None, "flowvigil", VERSION),
        licenses=[DisjunctiveLicense(id="MIT")],
    )
    bom = Bom(
        components=listed.values(),
        metadata=BomMetaData(component=own, timestamp=datetime.fromtimestamp(made_s, UTC)),
        dependencies=_dependencies(own, listed, held),
    )
    bom.serial_number = uuid.uuid5(_SERIALS, repr((VERSION, sorted((key, *where) for key, where in held.items()))))
    return json.dumps(json.loads(JsonV1Dot6(bom).output_as_string()), indent=1, sort_keys=True) + "\n"


def _component(where: dict[str, Pin]) -> Component:
    """A package in a version, from its pins by environment."""
    pin = next(iter(where.values()))
    address = PackageURL("pypi", None, pin.name, str(pin.version))
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(address.to_string()),
        comment="SHA-256 of each file of the version",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in pin.hashes],
    )
    told = [Property(name="flowvigil:environment", value=environment) for environment in where]
    if pin.marker is not None:
        told.append(Property(name="flowvigil:marker", value=str(pin.marker)))
    return Component(
        name=pin.name,
        version=str(pin.version),
        bom_ref=address.to_string(),
        purl=address,
        scope=ComponentScope.REQUIRED if SENSOR in where else ComponentScope.OPTIONAL,
        external_references=[files],
        properties=told,
    )


def _dependencies(own: Component, listed: dict[Key, Component], held: dict[Key, dict[str, Pin]]) -> list[Dependency]:
    """Who needs what, over all environments; a package in two versions needs, and is needed, in both."""
    needs: dict[str, set[Key]] = {}
    for key, where in held.items():
        for name in {name for pin in where.values() for name in pin.needed_by}:
            needs.setdefault(name, set()).add(key)
    everyone = {("flowvigil", VERSION): own} | listed
    return [
        Dependency(part.bom_ref, [Dependency(listed[key].bom_ref) for key in sorted(needs.get(name, ()))])
        for (name, _), part in everyone.items()
    ]
