# make demo    builds inlay and renders demo.mp4 and demo.png; TEXT="..." says something else, VOICE=de in another voice
# make check   builds everything and runs every test
# make bench   measures; AVATAR=pack AUDIO=speech BENCH="--model FILE.onnx ..." for an avatar of your own
AVATAR ?= models/presenter
AUDIO ?= models/presenter/hello.flac
TEXT ?= Hello! I am drawn by a neural network, and my mouth follows every word.

.PHONY: build demo check bench install format tidy clean

build: build/build.ninja
	@tools/setup build
	ninja -C build inlay

build/build.ninja:
	@tools/setup build
	meson setup build

# The sentence travels as it is: through the environment, past make's and the shell's own ideas of it.
demo: export SENTENCE = $(value TEXT)
demo: build
	@tools/setup demo
	@tools/demo "$$SENTENCE"

check:
	@tools/setup check
	@tools/check

bench: build
	build/inlay bench lipsync --avatar "$(AVATAR)" --audio "$(AUDIO)" $(BENCH)

install: build
	ninja -C build
	meson install -C build

format:
	clang-format -i $$(git ls-files '*.[ch]')

tidy: build
	clang-tidy -p build --quiet $$(git ls-files 'src/*.c' 'cli/*.c' 'bench/*.c' | grep -v _test.c)

clean:
	rm -rf build build-asan build-tsan build-fuzz demo.mp4 demo.png
