import Foundation
import VecDB
import VecDBBytes
import VecDBReplication

/// The directory of a rehearsal: a database to rehearse with, and records to write to it.
struct DrillStage {
  let directory: String
  let collection: String
  let dimensions: Int
  let recall: Double
  /// Vectors of the database; what a rehearsal writes lies around them.
  let samples: [[Float]]
  static let loadRows = 40_000

  var base: String { directory + "/base" }
  var load: String { directory + "/load.jsonl" }

  /// Takes a copy of `source` through a backup, so that whoever has it open is not disturbed; or
  /// makes a database of its own.
  static func prepare(in directory: String, from source: String?) async throws -> DrillStage {
    let base = directory + "/base"
    if let source {
      let repository = directory + "/source"
      try await Session.runShared(source) { access in
        switch access {
        case .own(let database): _ = try await database.backup(to: repository)
        case .remote(let database): _ = try await database.backup(to: repository)
        }
      }
      _ = try await Database.restore(from: repository, to: base, configuration: configuration)
    } else {
      try await make(base)
    }
    let database = try await Database.open(at: base, configuration: configuration)
    guard let info = try database.collections().max(by: { $0.count < $1.count }), info.count > 0
    else {
      try await database.close()
      throw VecDBError(
        .invalidArgument, "the database has no records to rehearse with",
        at: source ?? base)
    }
    let recall = try database.measureRecall(queries: 100).drillRecall
    let samples = try database.collection(info.name)
      .scroll(after: nil, limit: 1_000, filter: nil, includeVectors: true).records.map(\.vector)
    try await database.close()
    let stage = DrillStage(
      directory: directory, collection: info.name, dimensions: info.dimensions, recall: recall,
      samples: samples)
    try stage.writeLoad()
    return stage
  }

  static var configuration: DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.logger = CommandLog.logger(.critical)
    return configuration
  }

  /// 20,000 records in 64 dimensions, around 200 centres.
  private static func make(_ path: String) async throws {
    let database = try await Database.open(at: path, configuration: configuration)
    let collection = try await database.createCollection("drill", dimensions: 64, metric: .l2)
    var generator = DrillGenerator(seed: 1)
    let centres = (0..<200).map { _ in (0..<64).map { _ in generator.normal() * 4 } }
    for start in stride(from: 0, to: 20_000, by: 2_000) {
      try await collection.upsert(
        (start..<start + 2_000).map { number in
          VectorRecord(
            key: "base-\(number)", vector: centres[number % 200].map { $0 + generator.normal() })
        })
    }
    try await database.close()
  }

  /// Records that a rehearsal writes, with keys of their own.
  private func writeLoad() throws {
    var generator = DrillGenerator(seed: 2)
    guard let file = fopen(load, "w") else {
      throw VecDBError(.inputOutput, "cannot write: \(errorText(errno))", at: load)
    }
    defer { fclose(file) }
    for row in 0..<Self.loadRows {
      let numbers = vector(row, &generator).map { "\($0)" }
      fputs("{\"key\":\"\(Self.key(row))\",\"vector\":[\(numbers.joined(separator: ","))]}\n", file)
    }
  }

  /// A vector near one of the database's own.
  func vector(_ number: Int, _ generator: inout DrillGenerator) -> [Float] {
    let sample = samples[number % samples.count]
    let scale = 0.1 * sample.reduce(0) { $0 + abs($1) } / Float(max(1, sample.count))
    return sample.map { $0 + generator.normal() * scale }
  }

  static func key(_ row: Int) -> String { "drill-load-\(row)" }

  /// A copy of the base database under another name.
  func copy(_ name: String) throws -> String {
    let path = directory + "/" + name
    try FileManager.default.copyItem(atPath: base, toPath: path)
    return path
  }

  /// Arguments for a primary that writes the load, batch by batch, until it is stopped.
  func primary(
    _ path: String, port: Int, receipts: String, replicas: String?, peers: [Int] = []
  ) -> [String] {
    var arguments = [
      "import", path, collection, load, "--batch", "20", "--receipts", receipts, "--name", "a",
      "--listen", "127.0.0.1:\(port)", "--insecure-loopback", "--json",
    ]
    if let replicas { arguments += ["--replicas", replicas, "--ack-timeout", "20000"] }
    for peer in peers { arguments += ["--peer", "127.0.0.1:\(peer)"] }
    return arguments
  }

  func options(_ name: String, port: Int, peers: [Int]) -> ReplicationOptions {
    var options = ReplicationOptions(
      name: name, listen: NodeAddress(host: "127.0.0.1", port: port),
      peers: peers.map { NodeAddress(host: "127.0.0.1", port: $0) }, security: .insecureLoopback)
    options.logger = CommandLog.logger(.critical)
    return options
  }

  /// A port that is free now.
  static func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { _ = close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard bound else {
      throw VecDBError(.inputOutput, "no port is free: \(errorText(errno))")
    }
    return Int(UInt16(bigEndian: address.sin_port))
  }

  /// How many of the first `rows` rows of the load are missing.
  func missing(_ rows: Int, in database: Database) throws -> Int {
    let collection = try database.collection(collection)
    return try (0..<rows).count { try collection.get(Self.key($0)) == nil }
  }

  /// Waits until something holds.
  static func wait(
    _ what: String, seconds: Double = 60, _ body: () async throws -> Bool
  ) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try await !body() {
      guard ContinuousClock.now < deadline else {
        throw VecDBError(.notReached, "\(what) did not happen within \(seconds) s")
      }
      try await Task.sleep(nanoseconds: 2_000_000)
    }
  }
}

extension CanaryReport {
  /// The mean over all collections that have records.
  var drillRecall: Double {
    let measured = collections.filter { $0.queries > 0 }
    return measured.isEmpty ? 1 : measured.reduce(0) { $0 + $1.recall } / Double(measured.count)
  }
}

/// Numbers that are the same in every rehearsal.
struct DrillGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 }

  private mutating func uniform() -> Float {
    Float(splitMix64(&state) >> 40) / Float(1 << 24)
  }

  /// Roughly normal: the sum of four uniform numbers, scaled.
  mutating func normal() -> Float {
    ((uniform() + uniform() + uniform() + uniform()) - 2) * 1.7320508
  }
}
