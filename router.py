"""A sample: your own routes. Copy it to router_<name>.py and change it."""

from extend import *


router = APIRouter(tags=["Sample"])


@router.get("/test")
async def route_test():
    return {"status": 1, "message": "welcome to test"}


@router.post("/postgres-create")
async def route_postgres_create(request: Request):
    ports = request.app.state.ports
    row = {"title": "sample", "type": 1}
    made = await function_object_create_postgres(ports, "test", row)
    return {"status": 1, "message": made}


@router.put("/postgres-update")
async def route_postgres_update(request: Request):
    ports = request.app.state.ports
    made = await function_object_create_postgres(ports, "test", {"title": "sample"})
    row = {"id": made, "title": "sample, changed"}
    return {
        "status": 1,
        "message": await function_object_update_postgres(ports, "test", row),
    }


async def produced(function_producer, request):
    rows = [{"title": "sample, queued"}]
    name = "function_object_create_postgres"
    made = await function_producer(request.app, name, table="test", object_list=rows)
    return {"status": 1, "message": made}


@router.post("/redis-producer")
async def route_redis_producer(request: Request):
    return await produced(function_producer_redis, request)


@router.post("/rabbitmq-producer")
async def route_rabbitmq_producer(request: Request):
    return await produced(function_producer_rabbitmq, request)


@router.post("/kafka-producer")
async def route_kafka_producer(request: Request):
    return await produced(function_producer_kafka, request)


@router.post("/celery-producer")
async def route_celery_producer(request: Request):
    return await produced(function_producer_celery, request)


@router.get("/posthog")
async def route_posthog(request: Request):
    user_id = request.state.user.get("id", "anonymous")
    made = function_posthog_capture(request.app, "sample", user_id, {"from": "router"})
    return {"status": 1, "message": made}


@router.websocket("/ws")
async def route_ws(websocket: WebSocket):
    await websocket.accept()
    async with function_streams(websocket) as streams:
        try:
            while True:
                text = await websocket.receive_text()
                if not await streams.take(text):  # {"subscribe": "test"}
                    await websocket.send_text(text)
        except WebSocketDisconnect:
            return
