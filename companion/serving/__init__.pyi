from .chat_service import ChatService as ChatService
from .onnx import OnnxClassifier as OnnxClassifier
from .onnx import export_onnx as export_onnx
from .service import Service as Service
from .untrusted import load_model as load_model
from .web import WebForm as WebForm
from .web import WebModel as WebModel
from .web import export_web as export_web
