"""Plays logind and NetworkManager on a bus: each property is what a file says when it is asked for."""

import json
import sys

import dbus
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

TYPES = {"IdleHint": dbus.Boolean, "IdleSinceHintMonotonic": dbus.UInt64, "Metered": dbus.UInt32}
SERVICES = {
    "org.freedesktop.login1": "/org/freedesktop/login1",
    "org.freedesktop.NetworkManager": "/org/freedesktop/NetworkManager",
}


class Service(dbus.service.Object):
    @dbus.service.method("org.freedesktop.DBus.Properties", in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        with open(sys.argv[2], encoding="utf-8") as file:
            return TYPES[name](json.load(file)[name])


DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection(sys.argv[1])
kept = [
    Service(dbus.service.BusName(name, bus, do_not_queue=True), path) for name, path in SERVICES.items()
]
print("the services are there", flush=True)
GLib.MainLoop().run()
