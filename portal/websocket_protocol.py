"""uvicorn's WebSocket protocol, which answers invalid UTF-8 without a traceback in the log."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode


class QuietWebSocketProtocol(WebSocketsSansIOProtocol):
    """Closes with 1007 (RFC 6455, 8.1), as uvicorn does, but what a client sends is no error of
    ours.
    """

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()
