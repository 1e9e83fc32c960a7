extension Shape {
  /// All of them.
  package static let all: [Shape] = geometry + embeddings + ranges + order

  /// Few dimensions, positions, columns of tables.
  static let geometry: [Shape] = [
    Shape("line", "one dimension", dimensions: 1) { _ in
      { _, _, random in [random.uniform(-100, 100)] }
    },
    Shape("plane", "two dimensions", dimensions: 2) { _ in
      { _, _, random in [random.uniform(), random.uniform()] }
    },
    Shape("cities", "latitude and longitude of people in 40 cities", dimensions: 2) { random in
      let cities = (0..<40).map { _ in (random.uniform(-60, 70), random.uniform(-180, 180)) }
      return { _, _, random in
        let city = cities[random.below(cities.count)]
        return [city.0 + 0.1 * random.normal(), city.1 + 0.1 * random.normal()]
      }
    },
    Shape("two-sites", "points of two sites far apart", dimensions: 3) { _ in
      { index, _, random in
        let site = index % 2 == 0 ? 0.0 : 100_000
        return random.normals(3, scale: 5).map { $0 + site }
      }
    },
    Shape("lattice", "whole numbers on a grid, full of ties", dimensions: 2) { _ in
      { _, _, random in [Double(random.below(200)), Double(random.below(200))] }
    },
    Shape("units", "five columns in different units", dimensions: 5) { _ in
      { _, _, random in
        [
          random.uniform(0, 1), 40 + 15 * random.normal(), 60_000 + 20_000 * random.normal(),
          1_700_000_000 + 30_000_000 * random.uniform(), 0.001 * random.normal(),
        ]
      }
    },
    Shape("sensors", "sixteen channels, each with a scale of its own", dimensions: 16) { random in
      let scales = (0..<16).map { _ in power(10, random.uniform(-3, 3)) }
      return { _, _, random in scales.map { $0 * random.normal() } }
    },
    Shape("collinear", "records on one line through 32 dimensions", dimensions: 32) { random in
      let direction = random.normals(32)
      return { _, _, random in
        let place = random.uniform(-10, 10)
        return direction.map { $0 * place }
      }
    },
    Shape("shells", "three spheres of different size around one centre", dimensions: 24) { _ in
      { _, _, random in
        let radius = [1.0, 10, 100][random.below(3)]
        return unit(random.normals(24)).map { $0 * radius }
      }
    },
  ]

  /// What models give.
  static let embeddings: [Shape] = [
    Shape("gaussian-16", "no structure", dimensions: 16) { _ in
      { _, _, random in random.normals(16) }
    },
    Shape("gaussian-48", "no structure, harder", dimensions: 48) { _ in
      { _, _, random in random.normals(48) }
    },
    Shape("topics", "normalised, 200 topics", dimensions: 128) { random in
      let topics = (0..<200).map { _ in random.normals(128) }
      return { _, _, random in
        unit(zip(topics[random.below(200)], random.normals(128, scale: 0.6)).map { $0 + $1 })
      }
    },
    Shape("intrinsic-12", "128 dimensions, of which 12 count", dimensions: 128) { random in
      let basis = (0..<12).map { _ in random.normals(128) }
      return { _, _, random in mixture(basis, random.normals(12)) }
    },
    Shape("price", "an embedding with a price behind it", dimensions: 129) { random in
      let topics = (0..<50).map { _ in random.normals(128) }
      return { _, _, random in
        unit(zip(topics[random.below(50)], random.normals(128, scale: 0.7)).map { $0 + $1 })
          + [random.uniform(1, 500)]
      }
    },
    Shape("time", "an embedding with seconds since 1970 behind it", dimensions: 65) { _ in
      { index, count, random in
        unit(random.normals(64)) + [1_700_000_000 + 86_400 * Double(index) / Double(count)]
      }
    },
    Shape("massive", "a few components a hundred times as large", dimensions: 384, count: 4_000) {
      random in
      let basis = (0..<24).map { _ in random.normals(384) }
      return { _, _, random in
        var vector = mixture(basis, random.normals(24))
        for place in [7, 130, 255] { vector[place] = 400 + 40 * random.normal() }
        return vector
      }
    },
    Shape("anisotropic", "a common direction that outweighs all others", dimensions: 96) { random in
      let common = random.normals(96, scale: 20)
      let basis = (0..<20).map { _ in random.normals(96) }
      return { _, _, random in zip(common, mixture(basis, random.normals(20))).map { $0 + $1 } }
    },
    Shape("spread-norms", "lengths over three decades", dimensions: 64) { random in
      let basis = (0..<16).map { _ in random.normals(64) }
      return { _, _, random in
        let length = power(10, random.uniform(-1.5, 1.5))
        return mixture(basis, random.normals(16)).map { $0 * length }
      }
    },
    Shape("scales", "each component with a scale of its own", dimensions: 96) { random in
      let scales = (0..<96).map { _ in power(10, random.uniform(-2, 2)) }
      return { _, _, random in scales.map { $0 * random.normal() } }
    },
    Shape("sparse", "19 of 20 components are zero", dimensions: 256) { _ in
      { _, _, random in
        (0..<256).map { _ in random.uniform() < 0.05 ? power(2, random.normal()) : 0 }
      }
    },
    Shape("histogram", "shares that add up to one", dimensions: 64) { _ in
      { _, _, random in
        let values = (0..<64).map { _ in power(2, 3 * random.normal()) }
        let sum = values.reduce(0, +)
        return values.map { $0 / sum }
      }
    },
    Shape("images", "whole numbers from 0 to 255", dimensions: 128) { random in
      let basis = (0..<12).map { _ in random.normals(128, scale: 18) }
      return { _, _, random in
        mixture(basis, random.normals(12)).map { min(255, max(0, ($0 + 90).rounded())) }
      }
    },
    Shape("bytes", "whole numbers from -128 to 127", dimensions: 96) { random in
      let basis = (0..<12).map { _ in random.normals(96, scale: 12) }
      return { _, _, random in
        mixture(basis, random.normals(12)).map { min(127, max(-128, $0.rounded())) }
      }
    },
    Shape("bits", "zeros and ones as floats", dimensions: 128) { random in
      let prototypes = (0..<100).map { _ in (0..<128).map { _ in random.below(2) } }
      return { _, _, random in
        prototypes[random.below(100)].map { Double(random.uniform() < 0.15 ? 1 - $0 : $0) }
      }
    },
    Shape("wide", "1,024 dimensions", dimensions: 1_024, count: 2_500) { random in
      let basis = (0..<32).map { _ in random.normals(1_024) }
      return { _, _, random in mixture(basis, random.normals(32)) }
    },
  ]

  /// Values at the ends of what a float holds, and beyond what is usual.
  static let ranges: [Shape] = [
    Shape("tiny", "values around 1e-30", dimensions: 24, drift: (4, 0)) { _ in
      { _, _, random in random.normals(24, scale: 1e-30) }
    },
    Shape("small", "values around 1e-12", dimensions: 24) { _ in
      { _, _, random in random.normals(24, scale: 1e-12) }
    },
    Shape("large", "values around 1e15", dimensions: 24) { _ in
      { _, _, random in random.normals(24, scale: 1e15) }
    },
    Shape("huge", "values around 1e30", dimensions: 24, drift: (4, 0)) { _ in
      { _, _, random in random.normals(24, scale: 1e30) }
    },
    Shape("subnormal", "values below the least normal float", dimensions: 24, drift: (4, 0)) { _ in
      { _, _, random in random.normals(24, scale: 1e-39) }
    },
    Shape("negative", "negative values only", dimensions: 48) { _ in
      { _, _, random in (0..<48).map { _ in -power(2, random.normal()) } }
    },
    Shape("constant", "a component that is always 1,000", dimensions: 49) { _ in
      { _, _, random in random.normals(48) + [1_000] }
    },
    Shape("heavy-tails", "values without a mean", dimensions: 32) { _ in
      { _, _, random in
        (0..<32).map { _ in random.normal() / max(0.001, abs(random.normal())) }
      }
    },
    Shape("outliers", "one record of two hundred a thousand times as large", dimensions: 48) {
      random in
      let basis = (0..<14).map { _ in random.normals(48) }
      return { _, _, random in
        let factor = random.below(200) == 0 ? 1_000.0 : 1
        return mixture(basis, random.normals(14)).map { $0 * factor }
      }
    },
    Shape("offset", "differences of 0.01 on values of 100", dimensions: 32) { _ in
      { _, _, random in random.normals(32, scale: 0.01).map { $0 + 100 } }
    },
  ]

  /// The order in which records come, and how often.
  static let order: [Shape] = [
    Shape("four-clusters", "tight clusters far apart", dimensions: 64) { random in
      let centres = (0..<4).map { _ in random.normals(64, scale: 100) }
      return { _, _, random in
        zip(centres[random.below(4)], random.normals(64, scale: 0.05)).map { $0 + $1 }
      }
    },
    Shape("sorted-clusters", "one cluster after the other", dimensions: 32) { random in
      let centres = (0..<50).map { _ in random.normals(32, scale: 10) }
      return { index, count, random in
        zip(centres[min(49, index * 50 / max(1, count))], random.normals(32)).map { $0 + $1 }
      }
    },
    Shape("drift", "a slow drift, sorted by time", dimensions: 64) { random in
      let direction = random.normals(64)
      return { index, count, random in
        let time = 12 * Double(index) / Double(max(1, count))
        return zip(direction, random.normals(64)).map { $0 * time + $1 }
      }
    },
    Shape("range-moves", "another range after a quarter of the records", dimensions: 48) { _ in
      { index, count, random in
        let isLate = index * 4 >= count
        return random.normals(48).map { isLate ? $0 * 10 + 100 : $0 }
      }
    },
    Shape("shrinking", "a range that closes in on a point", dimensions: 48) { _ in
      { index, count, random in
        let scale = power(10, -3 * Double(index) / Double(max(1, count)))
        return random.normals(48, scale: scale)
      }
    },
    Shape("duplicates", "each record forty times", dimensions: 32) { random in
      let originals = (0..<200).map { _ in random.normals(32) }
      return { _, _, random in originals[random.below(200)] }
    },
    Shape("near-duplicates", "each record forty times, nearly", dimensions: 64) { random in
      let originals = (0..<200).map { _ in random.normals(64) }
      return { _, _, random in
        zip(originals[random.below(200)], random.normals(64, scale: 0.002)).map { $0 + $1 }
      }
    },
    Shape("one-hot", "one component of 64, of any size", dimensions: 64) { _ in
      { _, _, random in
        var vector = [Double](repeating: 0, count: 64)
        vector[random.below(64)] = random.uniform(0.5, 2)
        return vector
      }
    },
    Shape("ascending", "sorted by the first component", dimensions: 24) { _ in
      { index, count, random in
        [20 * Double(index) / Double(max(1, count))] + random.normals(23)
      }
    },
  ]
}

/// The sum of the vectors, each times its weight.
private func mixture(_ basis: [[Double]], _ weights: [Double]) -> [Double] {
  var sum = [Double](repeating: 0, count: basis[0].count)
  for (vector, weight) in zip(basis, weights) {
    for place in sum.indices { sum[place] += vector[place] * weight }
  }
  return sum
}

/// The vector with length 1.
private func unit(_ vector: [Double]) -> [Double] {
  let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
  return vector.map { $0 / length }
}

/// Powers by squaring and square roots: the same bits on every machine.
private func power(_ base: Double, _ exponent: Double) -> Double {
  if exponent < 0 { return 1 / power(base, -exponent) }
  var result = 1.0
  for _ in 0..<Int(exponent) { result *= base }
  var (root, rest) = (base, exponent - exponent.rounded(.down))
  for _ in 0..<24 {
    root = root.squareRoot()
    rest *= 2
    if rest >= 1 {
      result *= root
      rest -= 1
    }
  }
  return result
}
