from .backend import MockBackend as MockBackend
from .faults import Fault as Fault
from .plugin import activate as activate
from .profiles import PROFILES as PROFILES, Profile as Profile
from .script import MockReply as MockReply, MockRequest as MockRequest
from .server import MockServer as MockServer
