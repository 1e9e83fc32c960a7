import Glibc
import VecDBBytes
import VecDBIndex

// What each lever of graph and search gains alone: lines of Markdown. Queries are rows of the base
// that are left out of the index, so that nothing is tuned on a set's own queries. Costs are told as
// distances a search, which no other work on the machine changes, and as processor time.
//
//   vecdb-levers BASE.fvecs l2|cosine [HELD_OUT]

let k = 10
let efforts = [10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 192, 256]
let targets = [0.95, 0.99]

func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

func decimal(_ value: Double, _ digits: Int) -> String {
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let text = String(Int((value * scale).rounded()))
  guard digits > 0 else { return text }
  let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
  return padded.dropLast(digits) + "." + padded.suffix(digits)
}

func readVectors(_ path: String) -> [[Float]] {
  guard let file = fopen(path, "r") else { return [] }
  defer { fclose(file) }
  var vectors: [[Float]] = []
  var dimensions: Int32 = 0
  while fread(&dimensions, 4, 1, file) == 1, dimensions > 0 {
    let wanted = Int(dimensions)
    vectors.append(
      [Float](unsafeUninitializedCapacity: wanted) { buffer, count in
        count = fread(buffer.baseAddress, 4, wanted, file)
      })
  }
  return vectors
}

struct Point {
  var recall, distances, microseconds: Double
}

/// The point where a curve crosses a recall, linear between its neighbours.
func crossing(_ points: [Point], _ target: Double) -> Point? {
  guard let index = points.firstIndex(where: { $0.recall >= target }) else { return nil }
  let right = points[index]
  guard index > 0, points[index - 1].recall < right.recall else { return right }
  let left = points[index - 1]
  let share = (target - left.recall) / (right.recall - left.recall)
  return Point(
    recall: target, distances: left.distances + share * (right.distances - left.distances),
    microseconds: left.microseconds + share * (right.microseconds - left.microseconds))
}

struct Levers {
  let base: [[Float]]
  let queries: [[Float]]
  let metric: IndexParameters.Metric

  func build(
    degree: Int = 16, efConstruction: Int = 128, alpha: (UInt32, UInt32) = (11, 10)
  ) throws -> (index: IndexGeneration, seconds: Double) {
    let parameters = try IndexParameters(
      dimensions: base[0].count, metric: metric, degree: degree, efConstruction: efConstruction,
      alphaNumerator: alpha.0, alphaDenominator: alpha.1)
    let index = try IndexGeneration(parameters: parameters)
    var seconds = 0.0
    for (number, start) in stride(from: 0, to: base.count, by: 1_000).enumerated() {
      let births = (start..<min(start + 1_000, base.count)).map {
        Birth(key: Array(String($0).utf8), vector: base[$0], hash: Digest.zero)
      }
      let began = processorSeconds()
      _ = try index.apply(lsn: UInt64(number + 1), deaths: [], births: births)
      index.publish(lsn: UInt64(number + 1))
      seconds += processorSeconds() - began
    }
    return (index, seconds)
  }

  /// Recall by distance, distances and the best time of some rounds, by effort.
  func sweep(_ index: IndexGeneration, _ radii: [Float], rounds: Int = 3) throws -> [Point] {
    var points: [Point] = []
    for ef in efforts {
      var (hits, distances, best) = (0, 0, Double.infinity)
      for _ in 0..<rounds {
        (hits, distances) = (0, 0)
        let began = processorSeconds()
        for (query, radius) in zip(queries, radii) {
          let outcome = try index.search(query, k: k, ef: ef)
          distances += outcome.distanceCount
          for hit in outcome.hits where hit.distance <= radius { hits += 1 }
        }
        best = min(best, processorSeconds() - began)
      }
      let count = Double(queries.count)
      points.append(
        Point(
          recall: Double(hits) / (count * Double(k)), distances: Double(distances) / count,
          microseconds: best / count * 1e6))
      if let last = points.last, last.recall >= 0.995 { break }
    }
    return points
  }

  func report(_ lever: String, _ seconds: Double, _ points: [Point]) {
    let cells = targets.map { target in
      crossing(points, target).map {
        "\(decimal($0.distances, 0)) | \(decimal($0.microseconds, 1))"
      } ?? "not reached | "
    }
    print("| \(lever) | \(decimal(seconds, 1)) | \(cells.joined(separator: " | ")) |")
    fflush(nil)
  }

  func run() throws {
    let standard = try build()
    let radii = try queries.map {
      try standard.index.exactSearch($0, k: k).hits.last?.distance ?? -.infinity
    }
    func measure(_ lever: String, _ built: (index: IndexGeneration, seconds: Double)) throws {
      report(lever, built.seconds, try sweep(built.index, radii))
    }
    print("| lever | build CPU s | distances at 0.95 | us | distances at 0.99 | us |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    try measure("**as it is**: M 16, efConstruction 128, alpha 1.1", standard)
    for ef in [64, 100, 200, 400] {
      try measure("efConstruction \(ef)", build(efConstruction: ef))
    }
    for alpha in [(20, 20), (21, 20), (24, 20), (26, 20)] as [(UInt32, UInt32)] {
      let name = decimal(Double(alpha.0) / Double(alpha.1), 2)
      try measure("alpha \(name)", build(alpha: alpha))
    }
    for degree in [8, 12, 24, 32] { try measure("M \(degree)", build(degree: degree)) }
  }
}

let arguments = CommandLine.arguments
let vectors = arguments.count > 2 ? readVectors(arguments[1]) : []
let heldOut = arguments.count > 3 ? Int(arguments[3]) ?? 0 : 1_000
guard arguments.count > 2, heldOut > 0, vectors.count > 2 * heldOut else {
  print("usage: vecdb-levers BASE.fvecs l2|cosine [HELD_OUT], with enough rows in BASE")
  exit(2)
}
let step = vectors.count / heldOut
let metric: IndexParameters.Metric = arguments[2] == "cosine" ? .cosine : .l2
let levers = Levers(
  base: vectors.indices.filter { $0 % step != step / 2 }.map { vectors[$0] },
  queries: vectors.indices.filter { $0 % step == step / 2 }.map { vectors[$0] }, metric: metric)
print(
  "\(levers.base.count) x \(vectors[0].count), \(arguments[2]), \(levers.queries.count) held-out "
    + "rows as queries, k = \(k)\n")
try levers.run()
