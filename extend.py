"""What a router file starts from:  from extend import *"""

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect, responses

from atom.http.dependency import Db, Me, Ports, require_access, require_role
from function import *
from function import function_config_read

config = function_config_read()
# Shared: write your own `router = APIRouter()` to keep files apart.
router = APIRouter()
