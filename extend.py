"""What a router file starts from:  from extend import *"""

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect, responses

from function import *
from function import function_config_read

config = function_config_read()
router = (
    APIRouter()
)  # shared: write your own `router = APIRouter()` to keep files apart
