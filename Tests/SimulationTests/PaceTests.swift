import Cluster
import Testing

struct PaceTests {
  @Test func aWorkerBeginsWithAllThatItMayTake() {
    #expect(BatchPace(batchTime: .seconds(5), most: 200).limit == 200)
  }

  @Test func slowJobsAreTakenFewAtATimeAndAtLeastOne() {
    let pace = BatchPace(batchTime: .seconds(5), most: 200)
    pace.note(200, took: .seconds(100))
    #expect(pace.limit == 10)
    pace.note(10, took: .seconds(1000))
    #expect(pace.limit == 1)
  }

  @Test func fewQuickJobsDoNotHideThatManyAreSlow() {
    let pace = BatchPace(batchTime: .seconds(5), most: 200)
    pace.note(100, took: .seconds(50))
    pace.note(1, took: .milliseconds(1))
    #expect(pace.limit < 12)
  }

  @Test func aWorkerRecovers() {
    let pace = BatchPace(batchTime: .seconds(5), most: 200)
    pace.note(200, took: .seconds(1000))
    var batches = 0
    while pace.limit < 200, batches < 100 {
      pace.note(pace.limit, took: .milliseconds(pace.limit))
      batches += 1
    }
    #expect((2...30).contains(batches))
  }
}
