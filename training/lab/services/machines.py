"""What machines ask: time, their state, their measurements: chrony, snmpd, mosquitto, Modbus."""

from typing import Final

from training.lab.place import Place
from training.lab.services.service import Command, Service
from training.lab.traffic import tcp, udp

SYSTEM_PYTHON: Final = "/usr/bin/python3"  # which has Debian's modules

_CHRONY: Final = """allow all
local stratum 8
{listen}
cmdport 0
bindcmdaddress /
pidfile {directory}/chronyd.pid
driftfile {directory}/drift
"""
_SNMPD: Final = """agentaddress udp:{address}:161
rocommunity public
sysLocation rack 3
sysContact admin
"""
_MOSQUITTO: Final = """{listen}
allow_anonymous true
persistence false
log_dest stderr
log_type warning
"""
_MODBUS: Final = """
import sys
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartTcpServer
block = ModbusSequentialDataBlock(0, [number * 37 % 4096 for number in range(256)])
context = ModbusServerContext(slaves=ModbusSlaveContext(hr=block, ir=block), single=True)
StartTcpServer(context=context, address=(sys.argv[1], 502))
"""


def _ntp(place: Place) -> list[Command]:
    listen = "\n".join(f"bindaddress {address}" for address in place.addresses)
    settings = _CHRONY.format(listen=listen, directory=place.directory)
    return [["chronyd", "-x", "-d", "-u", "root", "-f", str(place.write("chrony.conf", settings))]]


def _snmp(place: Place) -> list[Command]:
    path = place.write("snmpd.conf", _SNMPD.format(address=place.address))
    return [["snmpd", "-f", "-Lo", "-C", "-c", str(path), "-p", str(place.path("snmpd.pid"))]]


def _mqtt(place: Place) -> list[Command]:
    listen = "\n".join(f"listener 1883 {address}" for address in place.addresses)
    return [["mosquitto", "-c", str(place.write("mosquitto.conf", _MOSQUITTO.format(listen=listen)))]]


def _modbus(place: Place) -> list[Command]:
    return [[SYSTEM_PYTHON, "-c", _MODBUS, place.address]]


NTP: Final = Service(
    "ntp", "chrony, which leaves the clock alone", ("chrony",), ("chronyd",), (udp(123),), _ntp, ipv6=True
)
SNMP: Final = Service("snmp", "snmpd", ("snmpd",), ("snmpd",), (udp(161),), _snmp, private=("/var/lib/snmp",))
MQTT: Final = Service("mqtt", "mosquitto", ("mosquitto",), ("mosquitto",), (tcp(1883),), _mqtt, ipv6=True)
MODBUS: Final = Service(
    "modbus",
    "registers of a plant",
    ("python3-pymodbus", "python3-serial-asyncio"),
    (SYSTEM_PYTHON,),
    (tcp(502),),
    _modbus,
)
