"""Every sentence with vaderSentiment, against the clock. The lexicon is read before."""
import json
import sys
import time

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

with open(sys.argv[1], encoding="utf-8") as file:
    sentences = json.load(file)
analyzer = SentimentIntensityAnalyzer()
wall, cpu = time.perf_counter(), time.process_time()
results = [analyzer.polarity_scores(sentence)["compound"] for sentence in sentences]
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(results, file)
