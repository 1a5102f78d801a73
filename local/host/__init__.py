"""A lean stand-in for the Azure Functions host: runs a real FunctionApp on one machine.

HTTP, queue and timer triggers behave as in Azure where an app can tell; any other trigger or binding is refused at once.
"""

from local.host.host import FunctionsHost
from local.host.settings import HostSettings, QueueSettings

__all__ = ["FunctionsHost", "HostSettings", "QueueSettings"]
