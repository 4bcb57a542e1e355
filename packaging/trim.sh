#!/bin/sh
# trim.sh VENV all|cpu: leave out of an image what srwatchd never uses. Licence files stay.
#
#   always   C++ headers and build files; tests and type stubs of libraries; OpenVINO's readers of formats other than
#            TensorFlow, ONNX and its own; its model converter's plugins for PyTorch
#   cpu      OpenVINO's plugins for GPUs and NPUs and the GPU's tuning table as well
set -eu
case "$#:${2:-}" in 2:all | 2:cpu) ;; *) echo "usage: trim.sh VENV all|cpu" >&2; exit 2 ;; esac

packages=$(echo "$1"/lib/python3.*/site-packages)
openvino=$packages/openvino
if [ -d "$openvino" ]; then
    rm -rf "$openvino/include" "$openvino/cmake" "$openvino/torch" \
        "$openvino/frontend/jax" "$openvino/frontend/paddle" "$openvino/frontend/pytorch"
    for name in paddle pytorch jax gguf tensorflow_lite; do
        rm -f "$openvino/libs/libopenvino_${name}_frontend.so"*
    done
    if [ "$2" = cpu ]; then
        rm -f "$openvino/libs"/libopenvino_intel_gpu_plugin.so "$openvino/libs"/libopenvino_intel_npu*.so \
            "$openvino/libs/cache.json"
    fi
fi
find "$packages/numpy" -type d -name tests -prune -exec rm -rf {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.a' -o -name '*.h' \) -delete
du -sm "$packages" | sed 's/\t.*/ MB left/'
